/**
 * The values that a pattern stands for, where these are few: agents' rules match exact values. What is returned never
 * admits more than the pattern does. Pure.
 */

const MOST_VALUES = 64

/** Undefined where the pattern stands for more than can be listed. A bare dot is read as a dot, which is what was meant. */
export function exactValues(pattern: string): string[] | undefined {
  const reader: Reader = { text: pattern.replace(/^\^/, '').replace(/(?<!\\)\$$/, ''), at: 0 }
  const values = readAlternatives(reader)
  return values === undefined || reader.at < reader.text.length ? undefined : [...new Set(values)]
}

type Reader = { text: string; at: number }

function readAlternatives(reader: Reader): string[] | undefined {
  const found: string[] = []
  for (;;) {
    const values = readSequence(reader)
    if (values === undefined) return undefined
    found.push(...values)
    if (found.length > MOST_VALUES) return undefined
    if (reader.text[reader.at] !== '|') return found
    reader.at += 1
  }
}

function readSequence(reader: Reader): string[] | undefined {
  let values = ['']
  while (reader.at < reader.text.length && !'|)'.includes(reader.text[reader.at]!)) {
    let part = readPart(reader)
    if (part === undefined) return undefined
    if (reader.text[reader.at] === '?') {
      reader.at += 1
      part = ['', ...part]
    }
    // Any other repetition, of this or of the optional one.
    if ('*+?{'.includes(reader.text[reader.at] ?? ' ')) return undefined
    values = values.flatMap(before => part.map(one => before + one))
    if (values.length > MOST_VALUES) return undefined
  }
  return values
}

/** One letter, an escaped sign, or a group. */
function readPart(reader: Reader): string[] | undefined {
  const sign = reader.text[reader.at]!
  reader.at += 1
  if (sign === '(') {
    if (reader.text.startsWith('?:', reader.at)) reader.at += 2
    else if (reader.text[reader.at] === '?') return undefined
    const values = readAlternatives(reader)
    if (reader.text[reader.at] !== ')') return undefined
    reader.at += 1
    return values
  }
  if (sign === '\\') {
    const escaped = reader.text[reader.at]
    reader.at += 1
    return escaped !== undefined && /[^\w\s]/.test(escaped) ? [escaped] : undefined
  }
  return '[]{}*+?^$'.includes(sign) ? undefined : [sign]
}
