// The same shell, forced through the relay.
import { Shell } from "./support/shell.ts";
import { expect, row, signIn, test } from "./support/world.ts";

for (const transport of ["udp", "tcp"] as const) {
  test(`a shell through the relay over ${transport.toUpperCase()}`, async ({ page, person, device }) => {
    void device;
    await signIn(page, person);
    const href = await row(page).getByRole("link").first().getAttribute("href");
    const shell = await Shell.open(page, `${href}/shell?relay=${transport}`);
    const path = await shell.path();
    expect(path.path).toMatch(/relay/i);
    expect(path.protocol).toMatch(new RegExp(transport, "i"));
    expect(await shell.run("echo through the relay")).toBe("through the relay");
    // More than one window's worth goes both ways.
    expect(await shell.run("head -c 3000000 /dev/zero | base64 | wc -c")).toMatch(/^\d+$/);
    await shell.type("seq 1 20000; echo done-$((6*7))");
    await shell.shows(/done-42/, 30_000);
    await shell.type("exit 3");
    await shell.ended(/status 3/);
  });
}
