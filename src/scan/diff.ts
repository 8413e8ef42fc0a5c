/** Unified diffs, as git writes them: what was added to each file, and where. */

export type AddedRun = {
  /** As it is called afterwards. */
  path: string
  /** Of the first of the lines. */
  line: number
  text: string
}

export type FileChange = { path: string; added: AddedRun[]; removed: string[] }

/** @param diff one character for each byte (latin1), so that texts that are no UTF-8 stay what they are. */
export function readDiff(diff: string): FileChange[] {
  const files: FileChange[] = []
  let file: FileChange | undefined
  let run: AddedRun | undefined
  // Lines still to come of the hunk: what looks like a header inside of one is text.
  let [before, after, line] = [0, 0, 0]
  for (const raw of diff.split('\n')) {
    if (before <= 0 && after <= 0) {
      const path = /^\+\+\+ (.*?)(?:\t.*)?\r?$/.exec(raw)?.[1]
      if (path !== undefined) {
        file = { path: pathOf(path), added: [], removed: [] }
        files.push(file)
        continue
      }
      const hunk = /^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(raw)
      if (hunk === null) continue
      before = Number(hunk[1] ?? 1)
      after = Number(hunk[3] ?? 1)
      line = Number(hunk[2])
      run = undefined
      continue
    }
    const sign = raw[0] ?? ' '
    if (sign === '\\') continue
    if (sign === '+') {
      const text = raw.slice(1)
      if (run === undefined) {
        run = { path: file?.path ?? '', line, text }
        file?.added.push(run)
      } else run.text += `\n${text}`
    } else run = undefined
    if (sign === '-') file?.removed.push(raw.slice(1))
    if (sign !== '+') before -= 1
    if (sign !== '-') {
      after -= 1
      line += 1
    }
  }
  return files
}

/** Whether a text begins as a diff does. */
export function looksLikeDiff(text: string): boolean {
  return /^(?:diff --git |--- |Index: |commit [0-9a-f]{7,64}\n|From [0-9a-f]{40} )/m.test(
    text.slice(0, 4_096),
  )
}

/** `b/src/a.ts`, or in quotes with C's escapes; `/dev/null` where the file went. */
function pathOf(text: string): string {
  const quoted = /^"(.*)"$/.exec(text)?.[1]
  const plain = quoted === undefined ? text : unquoted(quoted)
  return Buffer.from(plain.replace(/^b\//, ''), 'latin1').toString('utf8')
}

function unquoted(text: string): string {
  return text.replaceAll(/\\([0-7]{3}|.)/g, (_, sign: string) =>
    /^[0-7]{3}$/.test(sign)
      ? String.fromCharCode(Number.parseInt(sign, 8) & 0xff)
      : ({ n: '\n', t: '\t' }[sign] ?? sign),
  )
}
