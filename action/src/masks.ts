import { ACTION_LIMITS } from './limits.ts'

export type Masks = {
  add(secret: string): void
  /** Takes out what was added: the runner would, too, and this is not left to it. */
  scrub(text: string): string
}

/** @param tell gives one form to the runner, before anything can print it */
export function createMasks(tell: (form: string) => void): Masks {
  const known = new Set<string>()
  return {
    add(secret) {
      for (const form of formsOf(secret)) {
        if (known.has(form)) continue
        known.add(form)
        tell(form)
      }
    },
    scrub(text) {
      let clean = text
      for (const form of known) clean = clean.replaceAll(form, '***')
      return clean
    },
  }
}

/**
 * A secret as tools print it: whole, line by line, in a URL, in JSON, and in base64 wherever it begins in the text
 * that is encoded (the header of `git -c http.extraheader`, a Kubernetes secret).
 */
export function formsOf(secret: string): string[] {
  const lines = secret.split(/\r?\n/).map(line => line.trim())
  const encoded = [secret, ...(lines.length > 1 ? lines : [])].flatMap(text => [
    text,
    encodeURIComponent(text),
    JSON.stringify(text).slice(1, -1),
  ])
  const forms = [...encoded, ...base64Forms(secret)]
  return [...new Set(forms)].filter(form => form.length >= ACTION_LIMITS.maskedChars)
}

/** What of the base64 is the same whatever stands before and after: at each of three places to begin, two alphabets. */
function base64Forms(secret: string): string[] {
  const bytes = Buffer.from(secret)
  return [0, 1, 2].flatMap(before => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    const own = text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
    return [own, own.replaceAll('+', '-').replaceAll('/', '_')]
  })
}

/** Every text in a credential of several parts. */
export function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(textsOf)
}
