/** What has the form of a token, whoever's it is. */
import { parseToken } from '../keys/tokens.ts'
import { leaseNamedBy } from './jwt-id.ts'

export type Shape = {
  start: number
  length: number
  kind: 'mayfly-token' | 'github-token' | 'mayfly-jwt'
  /** Of a JWT: the lease that it names. */
  lease?: string
}

/** As secret scanners are told of it (docs/leaks.md); the checksum says the rest. */
const MAYFLY = /mf[tkos]_[0-9A-Za-z]{49}/g
const GITHUB = /gh[a-z]_[A-Za-z0-9._-]{36,1024}/g
const JWT = /eyJ[\w-]{10,4096}\.eyJ[\w-]{10,16384}(?:\.[\w-]{0,2048})?/g

/** @param text one character for each byte (latin1), so that places are the same. */
export function shapesIn(text: string): Shape[] {
  const found: Shape[] = []
  const add = ({ index: start, 0: { length } }: RegExpExecArray, what: Pick<Shape, 'kind' | 'lease'>) =>
    void found.push({ start, length, ...what })
  for (const match of text.matchAll(MAYFLY))
    if (parseToken(match[0]) !== undefined) add(match, { kind: 'mayfly-token' })
  for (const match of text.matchAll(GITHUB)) add(match, { kind: 'github-token' })
  for (const match of text.matchAll(JWT)) {
    const lease = leaseNamedBy(match[0])
    if (lease !== undefined) add(match, { kind: 'mayfly-jwt', lease })
  }
  return found
}
