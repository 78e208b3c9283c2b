// What `rpi-connect doctor` says about a device that works, with the real server and its relay.
import { expect, test } from "./support/world.ts";

test("the doctor finds nothing wrong with a linked device", async ({ device }) => {
  // This device has no desktop.
  await device.connect("vnc", "off");
  const finished = await device.connect("doctor");
  expect(finished.stdout.trimEnd().split("\n").slice(2)).toEqual([
    "✓ Communication with Raspberry Pi Connect WebSocket server",
    "✓ Communication with Raspberry Pi Connect API",
    "✓ Authentication with Raspberry Pi Connect API",
    "✓ Peer-to-peer connection candidate via STUN",
    "✓ Peer-to-peer connection candidate via TURN",
  ]);
  expect(finished.status).toBe(0);
  // It looks without disturbing: the daemon's stream is still the one.
  expect((await device.connect("status")).stdout).toContain("Subscribed to events: yes");
});

test("without a server the doctor says what to look at", async ({ server, device }) => {
  await device.connect("vnc", "off");
  await server.kill();
  const finished = await device.connect("doctor", "--json");
  expect(finished.status).toBe(1);
  const report = JSON.parse(finished.stdout) as { passed: boolean; checks: { passed: boolean; cure?: string }[] };
  expect(report.passed).toBe(false);
  for (const check of report.checks.filter((one) => !one.passed)) expect(check.cure).toMatch(/check the network|firewall/);
  await server.startAgain();
  await device.online();
});
