/** The parts of a broker, with what they do counted: nothing in them knows of it. */
import type { Issuer } from '../issuers/issuer.ts'
import type { Log } from './broker/broker.ts'
import type { Metrics } from './metrics.ts'
import type { Ledger } from './store/ledger.ts'

/** Every line with an `alarm` is counted under its name. */
export function observedLog(log: Log, metrics: Metrics): Log {
  const level = (name: keyof Log) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    if (typeof fields.alarm === 'string') metrics.alarm(fields.alarm)
    log[name](fields, message)
  }
  return { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') }
}

export function observedLedger(ledger: Ledger, metrics: Metrics, now: () => number): Ledger {
  return {
    ...ledger,
    async write(body) {
      const from = now()
      try {
        return await ledger.write(body)
      } finally {
        metrics.written(Math.max(0, now() - from))
      }
    },
  }
}

/** @param name as it is configured */
export function observedIssuer(name: string, issuer: Issuer, metrics: Metrics, now: () => number): Issuer {
  const issue: Issuer['issue'] = async grant => {
    const from = now()
    const told = (outcome: Parameters<Metrics['minted']>[1]) =>
      metrics.minted(name, outcome, Math.max(0, now() - from))
    try {
      const answer = await issuer.issue(grant)
      told(answer.ok ? 'issued' : 'refused')
      return answer
    } catch (error) {
      told('unavailable')
      throw error
    }
  }
  // A plugin's issuer may be an instance of a class: only this one member is another.
  const bound = new WeakMap<object, unknown>()
  return new Proxy(issuer, {
    get(target, member) {
      if (member === 'issue') return issue
      const value: unknown = Reflect.get(target, member)
      if (typeof value !== 'function') return value
      if (!bound.has(value)) bound.set(value, value.bind(target))
      return bound.get(value)
    },
  })
}
