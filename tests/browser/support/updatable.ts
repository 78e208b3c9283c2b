// A device with the updater: the real root service on a bus of its own, below a root folder of its own.
import { expect } from "@playwright/test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Device } from "./device.ts";
import { program, run, Running } from "./programs.ts";
import type { Person, Server } from "./server.ts";

const policy = readFileSync(join(import.meta.dirname, "../../../packaging/dbus/com.raspberrypi.ota.conf"), "utf8");
let devices = 0;

/** An artefact in the device's own files. */
export interface Artefact {
  name: string;
  file: string;
  uri: string;
  checksum: string;
}

export class Updatable {
  private constructor(
    readonly device: Device,
    readonly root: string,
    private readonly bus: Running,
    private readonly updater: Running,
  ) {}

  /** One that is linked, online, and allows remote updates. */
  static async of(server: Server, person: Person): Promise<Updatable> {
    const folder = mkdtempSync(join(server.folder, "updatable-"));
    const root = join(folder, "root");
    devices += 1;
    mkdirSync(join(root, "usr/bin"), { recursive: true });
    mkdirSync(join(root, "proc/device-tree"), { recursive: true });
    writeFileSync(join(root, "proc/device-tree/serial-number"), `1000000000000${String(devices).padStart(3, "0")}`);
    symlinkSync(program("rpi-ota-connector"), join(root, "usr/bin/rpi-ota-connector"));
    const bus = startBus(folder);
    // It may complain about limits, too.
    await expect.poll(() => bus.text(), { message: "the bus says where it is" }).toMatch(/^unix:.+\n/m);
    const address = /^unix:.+$/m.exec(bus.text())?.[0] ?? "";
    const more = { RPI_CONNECT_ROOT: root, DBUS_SYSTEM_BUS_ADDRESS: address };
    const device = await Device.of(server, person, more);
    const updater = Running.start(program("rpi-ota-connector"), ["--root", root], join(folder, "updater.log"), {
      PATH: process.env["PATH"],
      ...more,
    });
    const ask = ["--print-reply", "--dest=com.raspberrypi.ota", "/com/raspberrypi/ota", "com.raspberrypi.ota.GetStatus"];
    await expect
      .poll(async () => (await run("dbus-send", [`--bus=${address}`, ...ask])).stdout, { message: "the updater is on the bus", intervals: [20, 50, 100] })
      .toContain("idle");
    const allowed = await device.connect("ota", "on");
    if (allowed.status !== 0) throw new Error(`ota on: ${allowed.stdout}${allowed.stderr}`);
    return new Updatable(device, root, bus, updater);
  }

  /** Builds an artefact with this script, by the real tool. */
  async artefact(name: string, script: string): Promise<Artefact> {
    const folder = mkdtempSync(join(this.root, "artefact-"));
    writeFileSync(join(folder, "run.sh"), script);
    chmodSync(join(folder, "run.sh"), 0o755);
    writeFileSync(join(folder, "contents.yaml"), `artefact:\n  name: ${name}\n  version: 1\n  device_type: rpi\npayloads:\n- name: run # run.sh\n  type: script\n`);
    const built = await run("sh", ["-c", 'cd "$0" && exec "$@"', folder, program("otamaker"), "contents.yaml", "a.tar.zst"]);
    const checksum = /SHA256:\s*([0-9a-f]{64})/.exec(built.stdout)?.[1];
    if (!checksum) throw new Error(`otamaker: ${built.stdout}${built.stderr}`);
    const file = join(folder, "a.tar.zst");
    return { name, file, uri: `file://${file}`, checksum };
  }

  get log(): string {
    return `${this.device.log}\n${this.updater.text()}`;
  }

  async stop(): Promise<void> {
    await this.device.stop();
    await this.updater.end("SIGTERM");
    await this.bus.end("SIGTERM");
  }
}

/** A bus with the packaged policy and nothing else. */
function startBus(folder: string): Running {
  const uid = String(process.getuid?.() ?? 0);
  writeFileSync(join(folder, "policy.conf"), policy.replaceAll('user="root"', `user="${uid}"`));
  writeFileSync(
    join(folder, "bus.conf"),
    `<busconfig><listen>unix:path=${folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/><allow send_type="method_return"/>
<allow send_type="error"/><allow send_type="signal"/><allow send_destination="org.freedesktop.DBus"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/></policy><include>${folder}/policy.conf</include></busconfig>`,
  );
  return Running.start("dbus-daemon", [`--config-file=${folder}/bus.conf`, "--nofork", "--print-address"], join(folder, "bus.log"));
}
