/** A map that forgets: entries older than `keepMs` are gone, and beyond `limit` the oldest goes first. */
export class RecentMap<Value> {
  readonly #entries = new Map<string, { value: Value; until: number }>()
  readonly #limit: number
  readonly #keepMs: number
  readonly #now: () => number

  /** `now`: epoch ms. */
  constructor(limit: number, keepMs: number, now: () => number) {
    this.#limit = limit
    this.#keepMs = keepMs
    this.#now = now
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key)
    return entry && entry.until > this.#now() ? entry.value : undefined
  }

  set(key: string, value: Value): void {
    this.#entries.delete(key)
    this.#entries.set(key, { value, until: this.#now() + this.#keepMs })
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > this.#limit && oldest !== undefined) this.#entries.delete(oldest)
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}
