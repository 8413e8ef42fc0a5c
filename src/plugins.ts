/**
 * Attestor and issuer types that the operator adds: modules named in the settings and pinned by SHA-256,
 * trusted like the broker itself.
 *
 * What runs is the text that was hashed (and a comment that names it): it is handed to the engine as a
 * `data:` URL, not read a second time. So a module is one self-contained ECMAScript file (bundled, `node:` imports only), and the
 * pin covers everything in it.
 */
import { createHash } from 'node:crypto'
import type { AttestorType } from '../attestors/attestor.ts'
import type { IssuerType } from '../issuers/issuer.ts'
import { LIMITS } from './limits.ts'

export type PluginEntry = { module: string; sha256: string }
export type PluginTypes = { attestorTypes: readonly AttestorType[]; issuerTypes: readonly IssuerType[] }

/** A module that was not loaded, and why. Nothing of it has run unless `reason` says that it failed to run. */
export class PluginRefused extends Error {
  override name = 'PluginRefused'
}

/** @throws PluginRefused */
export async function loadPlugin(
  { module, sha256 }: PluginEntry,
  readFile: (path: string) => Promise<string>,
): Promise<PluginTypes> {
  const source = await readFile(module).catch((cause: unknown) => {
    throw new PluginRefused('the module cannot be read', { cause })
  })
  if (source.length > LIMITS.pluginChars) throw new PluginRefused('the module is too large')
  const found = createHash('sha256').update(source, 'utf8').digest('hex')
  if (found !== sha256) {
    throw new PluginRefused(`the module is not the one that was pinned: its SHA-256 is ${found}`)
  }
  return typesOf(await run(source, module))
}

async function run(source: string, module: string): Promise<Readonly<Record<string, unknown>>> {
  // Without a name of its own, each line of a stack trace would hold the whole module.
  const named = `${source}\n//# sourceURL=${encodeURI(`mayfly-plugin:${module}`)}\n`
  const url = `data:text/javascript;base64,${Buffer.from(named, 'utf8').toString('base64')}`
  try {
    return await import(/* @vite-ignore */ url)
  } catch {
    // The engine's own error would bring the module's text with it.
    throw new PluginRefused('the module does not run (it must be one bundled file that imports only node:)')
  }
}

function typesOf(exported: Readonly<Record<string, unknown>>): PluginTypes {
  const { attestorTypes = [], issuerTypes = [] } = exported
  if (!isTypeList(attestorTypes) || !isTypeList(issuerTypes)) {
    throw new PluginRefused('attestorTypes and issuerTypes must be lists of { type, settings, open }')
  }
  if (attestorTypes.length + issuerTypes.length === 0) {
    throw new PluginRefused('the module exports neither attestorTypes nor issuerTypes')
  }
  // The contract's shape was checked; what its functions do is the operator's trust in the module.
  return { attestorTypes: attestorTypes as AttestorType[], issuerTypes: issuerTypes as IssuerType[] }
}

function isTypeList(value: unknown): value is { type: string; settings: object; open: unknown }[] {
  return Array.isArray(value) && value.every(isType)
}

function isType(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (!('type' in value) || !('settings' in value) || !('open' in value)) return false
  const { type, settings, open } = value
  const parses = typeof settings === 'object' && settings !== null && 'safeParse' in settings
  return typeof type === 'string' && type !== '' && parses && typeof open === 'function'
}
