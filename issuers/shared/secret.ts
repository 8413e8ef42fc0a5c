/** `inspect.custom` of node:util, which Deno and Bun know too. */
const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom')

/**
 * A value that cannot print: string, JSON, inspection and error messages show `[secret]`.
 * `reveal()` is called only where the value leaves on purpose (the answer to its owner, a provider's
 * revocation call, sealing).
 */
export class Secret {
  readonly #value: string
  constructor(value: string) {
    this.#value = value
  }
  reveal(): string {
    return this.#value
  }
  toString(): string {
    return '[secret]'
  }
  toJSON(): string {
    return '[secret]'
  }
  [INSPECT](): string {
    return '[secret]'
  }
}
