// The requests that are no real-time messages: rooms, people, the session.

/** What the server refused, in words for people. */
export class Refused extends Error {
  /**
   * @param {string} text
   * @param {number} status of HTTP; 0 when there was no answer.
   * @param {string} [field] that is wrong.
   */
  constructor(text, status, field) {
    super(text);
    this.status = status;
    this.field = field;
  }

  /** Whether the user has to sign in again. */
  get signedOut() {
    return this.status === 401;
  }
}

/**
 * Returns what an error says.
 *
 * @param {unknown} error
 */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

const unreachable = () => new Refused("The server cannot be reached at the moment.", 0);

/**
 * @param {number} status
 * @param {{ error?: string, field?: string } | null} body
 */
function refusedOf(status, body) {
  if (status === 401) return new Refused("You are signed out.", status);
  return new Refused(body?.error ?? `The server answered with an error (${status}).`, status, body?.field);
}

export class Api {
  #root;
  #token;

  /**
   * @param {string} root path of the application, with a slash at its end.
   * @param {string} token against forged requests.
   */
  constructor(root, token) {
    this.#root = root;
    this.#token = token;
  }

  /**
   * Returns the answer's object; raises `Refused`.
   *
   * @param {string} path
   */
  get(path) {
    return this.#fetch(path, {});
  }

  /**
   * Posts a form; returns the answer's object; raises `Refused`.
   *
   * @param {string} path
   * @param {Record<string, string>} [fields]
   */
  post(path, fields = {}) {
    return this.#fetch(path, {
      method: "POST",
      headers: { "X-CSRF-Token": this.#token },
      body: new URLSearchParams(fields),
    });
  }

  /**
   * Uploads a file; the answer's object comes by `done`, which raises `Refused`.
   *
   * @param {string} path
   * @param {Blob} body
   * @param {(part: number) => void} progress told how much has left, from 0 to 1.
   * @returns {{ done: Promise<any>, abort: () => void }}
   */
  upload(path, body, progress) {
    // With fetch() nobody learns how much has left.
    const request = new XMLHttpRequest();
    const done = new Promise((resolve, reject) => {
      request.open("POST", this.#root + path);
      request.responseType = "json";
      request.setRequestHeader("X-CSRF-Token", this.#token);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.addEventListener("progress", ({ loaded, total }) => progress(total ? loaded / total : 0));
      for (const type of ["error", "abort", "timeout"]) {
        request.addEventListener(type, () => reject(unreachable()));
      }
      request.addEventListener("load", () => {
        const { status, response } = request;
        const good = status >= 200 && status < 300 && response;
        if (good) resolve(response);
        else reject(refusedOf(status, response));
      });
      request.send(body);
    });
    return { done, abort: () => request.abort() };
  }

  /** Whether the server still knows the user; true where it cannot be asked. */
  async signedIn() {
    try {
      await this.get("session");
      return true;
    } catch (error) {
      return !(error instanceof Refused && error.signedOut);
    }
  }

  /**
   * @param {string} path
   * @param {{ method?: string, headers?: Record<string, string>, body?: URLSearchParams }} options
   */
  async #fetch(path, options) {
    let response;
    try {
      response = await fetch(this.#root + path, {
        ...options,
        headers: { Accept: "application/json", ...options.headers },
        credentials: "same-origin",
        cache: "no-store",
      });
    } catch {
      throw unreachable();
    }
    const body = await response.json().catch(() => null);
    // Who is not signed in may be sent to the page for that, which is no JSON.
    if (response.status === 401 || (response.redirected && !body)) {
      throw refusedOf(401, null);
    }
    if (!response.ok || !body) throw refusedOf(response.status, body);
    return body;
  }
}
