/**
 * Keeps the real world out: a real timer, clock, random number, thread or connection would give another history
 * each time, so whoever reaches for one is told at once.
 */
export class RealWorld extends Error {
  override name = 'RealWorld'
}

/** Returns how to let it in again. */
export function keepRealWorldOut(): () => void {
  const undo: (() => void)[] = []
  const forbid = <Target extends object>(target: Target, name: keyof Target & string) => {
    const before = Object.getOwnPropertyDescriptor(target, name)
    const refuse = () => {
      throw new RealWorld(`${name} belongs to the real world, and the simulation owns every await`)
    }
    Object.defineProperty(target, name, { value: refuse, configurable: true, writable: true })
    undo.push(() => {
      if (before === undefined) Reflect.deleteProperty(target, name)
      else Object.defineProperty(target, name, before)
    })
  }
  for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'fetch'] as const) forbid(globalThis, name)
  forbid(Date, 'now')
  forbid(Math, 'random')
  forbid(performance, 'now')
  for (const name of [
    'sign',
    'verify',
    'digest',
    'encrypt',
    'decrypt',
    'importKey',
    'generateKey',
    'deriveBits',
  ] as const)
    forbid(crypto.subtle, name)
  return () => {
    for (const one of undo.reverse()) one()
  }
}
