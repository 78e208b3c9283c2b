/** Forms that a passkey answers: the script asks the server for a question, hands it to the browser, and sends
 *  the answer with the form. Without passkeys in the browser the forms that need one stay hidden. */

interface Question {
  readonly options: unknown;
  readonly ceremony: string;
}

const CANCELLED = "No passkey was used. Try again, or choose another way.";
const FAILED = "The browser could not use a passkey. Try again, or choose another way.";

function supported(): boolean {
  return (
    typeof PublicKeyCredential === "function" &&
    typeof PublicKeyCredential.parseRequestOptionsFromJSON === "function" &&
    typeof PublicKeyCredential.parseCreationOptionsFromJSON === "function"
  );
}

/** The server's question, or nothing if the page has to be left for another. */
async function ask(path: string): Promise<Question | undefined> {
  const answer = await fetch(path, { method: "POST", headers: { accept: "application/json" } });
  const body = (await answer.json()) as Partial<Question> & { location?: string; error_description?: string };
  if (answer.ok) return body as Question;
  if (body.location) {
    location.assign(body.location);
    return undefined;
  }
  throw new Error(body.error_description ?? FAILED);
}

async function use(question: Question, makesNew: boolean): Promise<Credential | null> {
  if (makesNew) {
    const options = question.options as PublicKeyCredentialCreationOptionsJSON;
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
  }
  const options = question.options as PublicKeyCredentialRequestOptionsJSON;
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
}

function words(error: unknown): string {
  if (error instanceof DOMException && error.name === "InvalidStateError") {
    return "This device has a passkey for your account already.";
  }
  if (error instanceof DOMException) return error.name === "NotAllowedError" ? CANCELLED : FAILED;
  return error instanceof Error && !(error instanceof TypeError) ? error.message : FAILED;
}

function fill(form: HTMLFormElement, name: string, value: string): void {
  const field = form.elements.namedItem(name);
  if (field instanceof HTMLInputElement) field.value = value;
}

async function answer(form: HTMLFormElement): Promise<void> {
  const problem = form.querySelector<HTMLElement>("[data-passkey-problem]");
  if (problem) problem.hidden = true;
  try {
    const question = await ask(form.dataset["passkey"] ?? "");
    if (!question) return;
    const credential = await use(question, form.hasAttribute("data-passkey-new"));
    if (!(credential instanceof PublicKeyCredential)) throw new DOMException(CANCELLED, "NotAllowedError");
    fill(form, "ceremony", question.ceremony);
    fill(form, "passkey", JSON.stringify(credential.toJSON()));
    form.submit();
  } catch (error) {
    if (!problem) return;
    problem.textContent = words(error);
    problem.hidden = false;
  }
}

export function startPasskeys(): void {
  if (!supported()) return;
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const button = event.submitter;
      if (button?.getAttribute("aria-busy") === "true") return;
      button?.setAttribute("aria-busy", "true");
      void answer(form).finally(() => button?.removeAttribute("aria-busy"));
    });
  }
}
