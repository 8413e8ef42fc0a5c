import type { Attestor } from '../../attestors/attestor.ts'
import type { Issuer } from '../../issuers/issuer.ts'
import type { Trace } from '../trace.ts'
import type { Broker, Log } from './broker.ts'

/** The same broker, whose outside calls and commits are spans below `trace`. */
export function tracedBroker(broker: Broker, trace: Trace): Broker {
  if (!trace.active) return broker
  const { ledger, issuers, attestors } = broker
  return {
    ...broker,
    trace,
    ledger: { ...ledger, write: body => trace.span('ledger.write', {}, () => ledger.write(body)) },
    // Looked at anew each time: what is registered meanwhile is among them.
    get issuers() {
      return new Map([...issuers].map(([name, issuer]) => [name, tracedIssuer(trace, name, issuer)]))
    },
    get attestors() {
      return new Map([...attestors].map(([name, one]) => [name, tracedAttestor(trace, name, one)]))
    },
  }
}

/** For one request: its id is in every line that is logged on its behalf. */
export function forRequest(broker: Broker, requestId: string): Broker {
  const { log } = broker
  const line = (level: keyof Log) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    log[level]({ request_id: requestId, ...fields }, message)
  return {
    ...broker,
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
  }
}

const OUTSIDE_CALLS: ReadonlySet<PropertyKey> = new Set([
  'resolve',
  'allows',
  'issue',
  'revoke',
  'probe',
  'revokeGroup',
  'surplus',
])

/** A plugin may be an instance of a class: it stays `this` for its own members. */
function tracedIssuer(trace: Trace, name: string, issuer: Issuer): Issuer {
  return new Proxy(issuer, {
    get(target, member) {
      const value: unknown = Reflect.get(target, member)
      if (typeof value !== 'function') return value
      if (!OUTSIDE_CALLS.has(member)) return value.bind(target)
      return (...given: unknown[]) =>
        trace.span(`issuer.${String(member)}`, { issuer: name }, async () =>
          Reflect.apply(value, target, given),
        )
    },
  })
}

function tracedAttestor(trace: Trace, name: string, attestor: Attestor): Attestor {
  const attest: Attestor['attest'] = evidence =>
    trace.span('attest', { attestor: name }, () => attestor.attest(evidence))
  return new Proxy(attestor, {
    get(target, member) {
      if (member === 'attest') return attest
      const value: unknown = Reflect.get(target, member)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
