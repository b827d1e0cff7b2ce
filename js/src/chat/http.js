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
      throw new Refused("The server cannot be reached at the moment.", 0);
    }
    const body = await response.json().catch(() => null);
    // Who is not signed in may be sent to the page for that, which is no JSON.
    if (response.status === 401 || (response.redirected && !body)) {
      throw new Refused("You are signed out.", 401);
    }
    if (!response.ok || !body) {
      throw new Refused(body?.error ?? `The server answered with an error (${response.status}).`,
        response.status, body?.field);
    }
    return body;
  }
}
