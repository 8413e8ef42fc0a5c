/**
 * A strict YAML 1.2 document that remembers where each key stands: one document, no duplicate keys, no tags,
 * a bounded number of aliases.
 */
import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument, visit } from 'yaml'
import { LIMITS } from '../limits.ts'
import { ConfigError, type Problem } from './problem.ts'

export type KeyPath = readonly PropertyKey[]

export type YamlFile = {
  path: string
  value: unknown
  /** A problem at a key; where the key is absent, at the nearest thing that holds it. */
  problem(key: KeyPath, expected: string, remedy?: string): Problem
}

/** @throws ConfigError */
export function parseYaml(path: string, text: string): YamlFile {
  if (text.length > LIMITS.configFileChars) {
    throw new ConfigError([{ file: path, key: '', expected: `at most ${LIMITS.configFileChars} characters` }])
  }
  const lines = new LineCounter()
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { file: path, line, column: col }
  }
  const document = withinDepth(path, () =>
    parseDocument(text, {
      lineCounter: lines,
      version: '1.2',
      strict: true,
      uniqueKeys: true,
      prettyErrors: false,
    }),
  )
  const faults = withinDepth(path, () => [...parserFaults(document), ...nodeFaults(document)])
  if (faults.length > 0) {
    throw new ConfigError(
      faults
        .slice(0, LIMITS.configProblems)
        .map(({ offset, ...rest }) => ({ ...at(offset), key: '', ...rest })),
    )
  }
  return {
    path,
    value: withinDepth(path, () => document.toJS({ maxAliasCount: LIMITS.configAliases })),
    problem: (key, expected, remedy) => ({
      ...at(offsetOf(document, key)),
      key: describeKey(key),
      expected,
      ...(remedy === undefined ? {} : { remedy }),
    }),
  }
}

type Fault = { offset: number; expected: string; remedy?: string }

/** Warnings too: an unresolved tag or directive means something else than it says. */
function parserFaults({ errors, warnings }: Document.Parsed): Fault[] {
  return [...errors, ...warnings].map(({ pos, message, code }) =>
    code === 'DUPLICATE_KEY'
      ? { offset: pos[0], expected: 'expected each key once in its map', remedy: 'Remove or rename this one' }
      : { offset: pos[0], expected: `expected YAML that parses (${message.slice(0, LIMITS.labelChars)})` },
  )
}

/** What parses and would be lost or misread on the way to plain values. */
function nodeFaults(document: Document.Parsed): Fault[] {
  const faults: Fault[] = []
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return
      faults.push({
        offset: alias.range?.[0] ?? 0,
        expected: 'expected an alias whose anchor stands above it',
      })
    },
    Pair(_, { key }) {
      const offset = isNode(key) ? (key.range?.[0] ?? 0) : 0
      if (!isScalar(key) || typeof key.value !== 'string') {
        faults.push({ offset, expected: 'expected text as the key', remedy: 'Put it in quotes' })
      } else if (key.value === '__proto__') {
        faults.push({ offset, expected: 'expected another name than __proto__' })
      }
    },
  })
  return faults
}

/** The parser throws RangeError where the stack ends and ReferenceError beyond the bound on aliases. */
function withinDepth<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ReferenceError || error instanceof RangeError)) throw error
    const expected = `expected nesting of a sane depth, and aliases that unfold at most ${LIMITS.configAliases} times`
    throw new ConfigError([{ file: path, line: 1, column: 1, key: '', expected }])
  }
}

/** Offset of the key itself where its holder is a map, of the item in a list, else of what encloses it. */
function offsetOf(document: Document.Parsed, path: KeyPath): number {
  for (let length = path.length; length > 0; length--) {
    const holder = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const name = path[length - 1]
    if (isMap(holder)) {
      const pair = holder.items.find(({ key }) => isScalar(key) && String(key.value) === String(name))
      if (isPair(pair) && isNode(pair.key) && pair.key.range) return pair.key.range[0]
    }
    const item = document.getIn(path.slice(0, length), true)
    if (isNode(item) && item.range) return item.range[0]
  }
  return document.contents?.range?.[0] ?? 0
}

export function describeKey(path: KeyPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? String(part) : `${text}.${String(part)}`
  }, '')
}
