import type { ConfigFiles } from '../../src/config.ts'

/** Files of a map from path to text; folders are what the paths say, and those named. */
export function memoryFiles(
  texts: Readonly<Record<string, string>>,
  folders: readonly string[] = [],
): ConfigFiles {
  const absent = (path: string) => Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
  return {
    async readFile(path) {
      const text = texts[path]
      if (text === undefined) throw absent(path)
      return text
    },
    async listDir(path) {
      const inside = Object.keys(texts).filter(name => name.startsWith(`${path}/`))
      if (inside.length === 0 && !folders.includes(path)) throw absent(path)
      return inside.map(name => name.slice(path.length + 1))
    },
  }
}
