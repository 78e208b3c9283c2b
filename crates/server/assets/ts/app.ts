// Everything that pages other than session windows do in the browser. Pages work without it, but for
// what cannot: copying, times in the reader's zone, and lists that change by themselves.
import "htmx.org";
import { startComboboxes } from "./combobox";
import { startCopying } from "./copy";
import { startDialogs } from "./dialogs";
import { startForms } from "./forms";
import { startLive } from "./live";
import { startMenus } from "./menus";
import { startPasskeys } from "./passkeys";
import { startSearch } from "./search";
import { showCurrentTab } from "./tabs";
import { startThemeSwitch } from "./theme-switch";
import { startTimes } from "./times";

startThemeSwitch();
showCurrentTab();
startCopying();
startTimes();
startMenus();
startDialogs();
startPasskeys();
startForms();
startComboboxes();
startSearch();
startLive();
