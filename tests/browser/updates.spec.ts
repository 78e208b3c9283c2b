// Remote updates from end to end: made in the page, applied by the real updater, told in the page.
import type { Page } from "@playwright/test";
import { readFileSync } from "node:fs";
import { createServer, type Server as HttpServer, type ServerResponse } from "node:http";
import { look } from "./support/look.ts";
import type { Person, Server } from "./support/server.ts";
import { type Artefact, Updatable } from "./support/updatable.ts";
import { anotherBrowser, expect, fillSignIn, row, signIn, test as base } from "./support/world.ts";

const test = base.extend<{ target: Updatable }>({
  target: async ({ server, person }, use, info) => {
    const target = await Updatable.of(server, person);
    await use(target);
    if (info.status !== info.expectedStatus) {
      await info.attach("device.log", { body: target.log });
      await info.attach("server.log", { body: server.log });
    }
    await target.stop();
  },
});

async function fill(page: Page, artefact: Artefact): Promise<void> {
  await page.getByLabel("Name").fill(artefact.name);
  await page.getByLabel("URI").fill(artefact.uri);
  await page.getByLabel("Checksum").fill(artefact.checksum);
}

/** Adds an artefact by the Remote update tab. */
async function add(page: Page, artefact: Artefact, root = ""): Promise<void> {
  await page.goto(`${root}/remote-update`);
  await page.getByRole("link", { name: "New artefact" }).click();
  await fill(page, artefact);
  await page.getByRole("button", { name: "Create artefact" }).click();
  await expect(page.getByRole("row").filter({ hasText: artefact.name })).toBeVisible();
}

/** The state on a deployment's page. */
function state(page: Page) {
  return page.locator("#deployment .pill");
}

/** The page with the form, by the button in the list. */
async function openForm(page: Page): Promise<void> {
  await page.goto("/devices");
  await row(page).getByRole("link", { name: "Deploy" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("Deploy to");
}

/** A web server that hands out half of a file, and the rest when told. */
class Slow {
  private constructor(
    private readonly server: HttpServer,
    private readonly rest: Promise<() => void>,
    readonly uri: string,
  ) {}

  static async of(file: string): Promise<Slow> {
    const bytes = readFileSync(file);
    const half = Math.floor(bytes.length / 2);
    let asked: (finish: () => void) => void;
    const rest = new Promise<() => void>((resolve) => (asked = resolve));
    const server = createServer((_, response: ServerResponse) => {
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, half));
      asked(() => response.end(bytes.subarray(half)));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (!address || typeof address !== "object") throw new Error("no port");
    return new Slow(server, rest, `http://127.0.0.1:${address.port}/a.tar.zst`);
  }

  async finish(): Promise<void> {
    (await this.rest)();
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

test("a script goes from the page to the device, and the page says that it succeeded", { tag: "@alone" }, async ({ page, person, target }) => {
  test.setTimeout(120_000);
  const artefact = await target.artefact("hello", '#!/bin/sh\necho "hello from the device"\n');
  await signIn(page, person);
  await add(page, artefact);
  const times: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    await openForm(page);
    await page.getByLabel("Artefact").selectOption({ label: "hello" });
    const began = performance.now();
    await page.getByRole("button", { name: "Deploy", exact: true }).click();
    await expect(state(page)).toHaveText("Succeeded");
    times.push(Math.round(performance.now() - began));
  }
  console.log(`from the click to Succeeded: ${times.join(", ")} ms`);
  await expect(page.locator("pre.output")).toHaveText("hello from the device\n");
  expect(times.toSorted((a, b) => a - b)[2], "the middle one of five").toBeLessThanOrEqual(2_000);
  await page.goto("/remote-update");
  await expect(page.getByRole("row").filter({ hasText: "hello" }).filter({ hasText: "Delete" })).toHaveCount(0);
});

test("a download moves the bar, and what a failed script printed is shown", async ({ page, person, target }) => {
  test.setTimeout(120_000);
  const script = `#!/bin/sh\n# ${"0123456789abcdef".repeat(4)}\necho '<b>not bold</b>'\necho no space left >&2\nexit 3\n`;
  const artefact = await target.artefact("broken", script);
  const slow = await Slow.of(artefact.file);
  await signIn(page, person);
  await openForm(page);
  await fill(page, { ...artefact, uri: slow.uri });
  await page.getByRole("button", { name: "Create and deploy" }).click();
  await expect(state(page)).toHaveText("In progress");
  await expect(page.getByRole("progressbar", { name: "Downloaded" })).toHaveAttribute("value", /^(4\d|50)$/);
  await expect(page.getByRole("button", { name: "Cancel" }), "not any more").toHaveCount(0);
  await slow.finish();
  await expect(state(page)).toHaveText("Failed");
  await expect(page.locator("#deployment .reason")).toHaveText("Script failed with exit status 3: no space left");
  await expect(page.locator("pre.output")).toContainText("<b>not bold</b>");
  await expect(page.getByRole("progressbar")).toHaveCount(0);
  slow.stop();
});

test("what waits for a device that is away can be called off, by keyboard alone", async ({ page, person, target }) => {
  test.setTimeout(120_000);
  const artefact = await target.artefact("later", "#!/bin/sh\necho later\n");
  await signIn(page, person);
  await add(page, artefact);
  await target.device.kill();
  await openForm(page);
  await page.getByLabel("Artefact").focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await expect(state(page)).toHaveText("Pending");
  await page.getByRole("button", { name: "Cancel" }).focus();
  await page.keyboard.press("Enter");
  await expect(state(page)).toHaveText("Cancelled");
  await openForm(page);
  await page.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(state(page)).toHaveText("Pending");
  await target.device.startAgain();
  await expect(state(page), "it is asked for at the next connection").toHaveText("Succeeded");
});

test("a search is deployed to after its number was typed", async ({ page, person, target }) => {
  test.setTimeout(120_000);
  const artefact = await target.artefact("fleet", "#!/bin/sh\necho fleet\n");
  await signIn(page, person);
  await add(page, artefact);
  await page.goto("/devices");
  await page.getByRole("link", { name: "Deploy to all" }).click();
  await page.getByRole("button", { name: "Preview" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Deploy fleet to 1 device?");
  const go = page.getByRole("button", { name: "Deploy", exact: true });
  await expect(go).toBeDisabled();
  await page.getByLabel("Type 1 to go on").fill("2");
  await expect(go).toBeDisabled();
  await page.getByLabel("Type 1 to go on").fill("1");
  await go.click();
  await expect(page.getByText("100 % of the devices are done")).toBeVisible();
  await expect(page.getByRole("row").filter({ hasText: "Succeeded" })).toHaveCount(1);
});

/** An organisation of this person's with the person's device in it. */
async function organisation(server: Server, page: Page, person: Person): Promise<string> {
  const { stdout } = await server.bramble(["org", "create", "--name", "Kiosks", "--administrator", person.email, "--json"]);
  const root = `/organisations/${(JSON.parse(stdout) as { id: string }).id}`;
  await page.goto(`${root}/transfer`);
  await page.getByRole("button", { name: "Transfer 1 device" }).click();
  await expect(row(page)).toHaveCount(1);
  return root;
}

test("a library that is longer than the menu is searched", async ({ page, person, target }, info) => {
  test.setTimeout(120_000);
  const artefact = await target.artefact("zebra", "#!/bin/sh\necho zebra\n");
  await signIn(page, person);
  await add(page, artefact);
  // The form of the page, sent by the page: as many at once as a browser sends.
  const made = await page.evaluate(async ({ uri, checksum }) => {
    const one = async (_: unknown, n: number) => {
      const body = new URLSearchParams({ name: `kiosk ${n}`, uri, checksum });
      return (await fetch("/remote-update/artefacts/new", { method: "POST", body, redirect: "manual" })).type;
    };
    return Promise.all(Array.from({ length: 200 }, one));
  }, artefact);
  expect(made.filter((type) => type !== "opaqueredirect")).toEqual([]);
  const artefacts = String(info.config.metadata["artefacts"]);
  await openForm(page);
  await expect(page.getByLabel("Artefact", { exact: true }).locator("option")).toHaveCount(200);
  await look(page, "updates-menu", artefacts);
  await page.getByLabel("Search artefacts").fill("zEb");
  await page.keyboard.press("Enter");
  await expect(page.getByLabel("Artefact", { exact: true }).locator("option")).toHaveText(["zebra"]);
  await page.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(state(page)).toHaveText("Succeeded");
  await page.goto("/remote-update/rollouts/new?query=host");
  await look(page, "updates-rollout-menu", artefacts);
  await page.getByLabel("Search artefacts").fill("nothing like it");
  await page.keyboard.press("Enter");
  await expect(page.getByText("No artefact’s name begins with “nothing like it”.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Preview" })).toHaveCount(0);
  await look(page, "updates-rollout-menu-nothing", artefacts);
  await page.getByLabel("Search artefacts").fill("zebra");
  await page.keyboard.press("Enter");
  await expect(page.getByLabel("Devices")).toHaveValue("host");
});

test("members look and change nothing", async ({ page, browser, server, mail, person, target }, info) => {
  test.setTimeout(120_000);
  await signIn(page, person);
  const root = await organisation(server, page, person);
  const artefact = await target.artefact("shared", "#!/bin/sh\necho secret output\n");
  await add(page, artefact, root);
  await page.goto(`${root}/devices`);
  await row(page).getByRole("link", { name: "Deploy" }).click();
  await page.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(state(page)).toHaveText("Succeeded");
  const deployment = page.url();
  const bob = await server.person("Bob");
  await page.goto(`${root}/users`);
  await page.getByLabel("Email address").fill(bob.email);
  await page.getByRole("button", { name: "Send invitation" }).click();
  const other = await anotherBrowser(browser, server);
  await other.goto(await mail.link(bob.email, /invit/i));
  await fillSignIn(other, bob);
  await other.getByRole("button", { name: "Join organisation" }).click();
  await other.goto(`${root}/remote-update`);
  await expect(other.getByRole("row").filter({ hasText: artefact.checksum })).toBeVisible();
  await expect(other.getByRole("link", { name: /Deploy|Delete|New artefact/ })).toHaveCount(0);
  const artefacts = String(info.config.metadata["artefacts"]);
  await look(other, "organisation-updates-member", artefacts);
  await other.goto(`${root}/remote-update/deployments`);
  await look(other, "organisation-updates-deployments-member", artefacts);
  for (const name of ["artefacts/new", "rollouts/new"]) {
    await page.goto(`${root}/remote-update/${name}`);
    await look(page, `organisation-updates-${name.replace("/", "-")}`, artefacts);
  }
  await other.goto(deployment);
  await expect(state(other)).toHaveText("Succeeded");
  await expect(other.getByText("secret output")).toHaveCount(0);
  await other.goto(`${root}/devices`);
  await expect(row(other)).toHaveCount(1);
  await expect(row(other).getByRole("link", { name: "Deploy" })).toHaveCount(0);
  await other.context().close();
});

test("pages of remote updates", async ({ page, person, target }, info) => {
  test.setTimeout(300_000);
  const artefacts = String(info.config.metadata["artefacts"]);
  const show = async (name: string, path: string) => {
    await page.goto(path);
    await look(page, name, artefacts);
  };
  await signIn(page, person);
  await show("updates-empty", "/remote-update");
  await show("updates-new-artefact", "/remote-update/artefacts/new");
  await fill(page, { name: "x", file: "", uri: "gopher://x/", checksum: "abc" });
  await page.getByRole("button", { name: "Create artefact" }).click();
  await look(page, "updates-new-artefact-wrong", artefacts);
  const long = "Reading package lists... Done\nBuilding dependency tree... Done\n".repeat(12);
  const failing = await target.artefact("upgrade-1.0", `#!/bin/sh\nprintf '${long.replaceAll("\n", "\\n")}'\necho "E: You don't have enough free space in /var/cache/apt/archives/." >&2\nexit 100\n`);
  const good = await target.artefact("kiosk-2026-11-with-a-long-name-that-has-to-fit", "#!/bin/sh\necho done\n");
  await add(page, failing);
  await page.getByRole("link", { name: `Delete ${failing.name}` }).click();
  await look(page, "updates-delete-artefact", artefacts);
  await add(page, good);
  const deploy = async (label: string, end: string) => {
    await openForm(page);
    await page.getByLabel("Artefact").selectOption({ label });
    await page.getByRole("button", { name: "Deploy", exact: true }).click();
    await expect(state(page)).toHaveText(end);
  };
  await deploy(failing.name, "Failed");
  await look(page, "updates-failed", artefacts);
  const slow = await Slow.of(good.file);
  await openForm(page);
  await look(page, "updates-deploy", artefacts);
  await fill(page, { ...good, name: "slow-1", uri: slow.uri });
  await page.getByRole("button", { name: "Create and deploy" }).click();
  await expect(page.getByRole("progressbar")).toBeVisible();
  await look(page, "updates-in-progress", artefacts);
  await target.device.kill();
  await openForm(page);
  await page.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(state(page)).toHaveText("Pending");
  await look(page, "updates-pending", artefacts);
  await show("updates-tab", "/remote-update");
  await show("updates-deployments", "/remote-update/deployments");
  await page.goto("/devices");
  await look(page, "updates-devices", artefacts);
  const device = (await row(page).getByRole("link").first().getAttribute("href")) ?? "";
  await show("updates-device", device);
  await show("updates-history", `${device}/deployments`);
  await show("updates-rollout-new", "/remote-update/rollouts/new?query=host");
  await page.goto("/remote-update/rollouts/new");
  await page.getByRole("button", { name: "Preview" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("to 1 device?");
  await look(page, "updates-preview", artefacts);
  await page.getByLabel("Type 1 to go on").fill("1");
  await page.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(page.getByText("% of the devices are done")).toBeVisible();
  await look(page, "updates-rollout", artefacts);
  slow.stop();
  await target.device.startAgain();
});
