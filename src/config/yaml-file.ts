/**
 * A strict YAML 1.2 document that remembers where each key stands: one document, no duplicate keys, no tags,
 * a bounded number of aliases.
 */
import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument } from 'yaml'
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
  const document = parseDocument(text, {
    lineCounter: lines,
    version: '1.2',
    strict: true,
    uniqueKeys: true,
    prettyErrors: false,
  })
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  // Warnings too: an unresolved tag or directive means something else than it says.
  const faults = [...document.errors, ...document.warnings].slice(0, LIMITS.configProblems)
  if (faults.length > 0) {
    throw new ConfigError(
      faults.map(({ pos, message, code }) => ({
        file: path,
        ...at(pos[0]),
        key: '',
        expected: code === 'DUPLICATE_KEY' ? 'each key once in its map' : `YAML that parses (${message})`,
        ...(code === 'DUPLICATE_KEY' ? { remedy: 'Remove or rename the second one' } : {}),
      })),
    )
  }
  return {
    path,
    value: toValue(path, document),
    problem: (key, expected, remedy) => ({
      file: path,
      ...at(offsetOf(document, key)),
      key: describeKey(key),
      expected,
      ...(remedy === undefined ? {} : { remedy }),
    }),
  }
}

function toValue(path: string, document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: LIMITS.configAliases })
  } catch (error) {
    if (!(error instanceof ReferenceError || error instanceof RangeError)) throw error
    const expected = `at most ${LIMITS.configAliases} uses of aliases and a sane depth`
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
