/** A thing that is registered: plain data, the same from a file and from the API. */
import { canonicalDigest, canonicalJson } from '../canonical.ts'
import { namespaceOf } from '../config.ts'
import type { ResourceKind, ResourceRow } from '../store/rows.ts'

export const RESOURCE_KINDS = ['agent', 'attestor', 'issuer', 'resource_server', 'policy'] as const

export type Document = Readonly<Record<string, unknown>>

export type Resource = {
  kind: ResourceKind
  name: string
  /** Null for the operator's own. */
  namespace: string | null
  /**
   * An agent and a resource server as they are judged by; an attestor and an issuer as they were written, with
   * `secrets`: what of each tells whether it is the same; a policy's `text`.
   */
  document: Document
  /** SHA-256 (hex) of the canonical document. */
  digest: string
}

export function newResource(kind: ResourceKind, name: string, document: Document): Resource {
  // As the ledger has it: members in one order, so that documents are compared by what they say.
  const plain = JSON.parse(canonicalJson(document)) as Document
  return { kind, name, namespace: namespaceOf(name), document: plain, digest: canonicalDigest(plain) }
}

export function resourceOf({ kind, name, namespace, document, digest }: ResourceRow): Resource {
  return { kind, name, namespace, document: JSON.parse(document) as Document, digest }
}

/** Names a resource among all. */
export const keyOf = ({ kind, name }: { kind: ResourceKind; name: string }): string => `${kind}/${name}`
