/** `npm run build:action`: what GitHub runs, from `src/`, and the licences of what is in it. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Metafile, type Plugin } from 'esbuild'
import { GITHUB_PERMISSIONS } from '../issuers/shared/github-permissions.ts'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '..')

/**
 * The files of `dist/`, by name. The same sources and packages give the same bytes, wherever they lie.
 * Not minified: whoever reviews the action reads them.
 */
export async function bundle(): Promise<Record<string, string>> {
  const { outputFiles, metafile } = await build({
    entryPoints: ['action/src/main.ts', 'action/src/post.ts'],
    outdir: 'dist',
    absWorkingDir: root,
    bundle: true,
    splitting: false,
    // Of each package what is plain ESM: nothing is required at run time but Node.
    platform: 'neutral',
    mainFields: ['module', 'main'],
    external: ['node:*', ...builtinModules],
    target: 'node24',
    format: 'esm',
    charset: 'utf8',
    legalComments: 'none',
    write: false,
    metafile: true,
    banner: { js: '// Written by `npm run build:action` from action/src. Licences: licenses.txt' },
    plugins: [onlyWhatIsUsed],
  })
  const files = outputFiles.map(({ path, text }) => [path.slice(path.lastIndexOf('/') + 1), text] as const)
  return { ...Object.fromEntries(files), 'licenses.txt': await licensesOf(metafile) }
}

/** The toolkit's modules do nothing when they are loaded: its HTTP client, which is not used here, can stay out. */
const onlyWhatIsUsed: Plugin = {
  name: 'only-what-is-used',
  setup({ onResolve, resolve }) {
    onResolve(
      { filter: /^@actions\/|^\.\/.*\.js$/ },
      async ({ path, importer, kind, resolveDir, pluginData }) => {
        const isToolkit = path.startsWith('@actions/') || importer.includes('/node_modules/@actions/')
        if (pluginData === 'resolved' || !isToolkit) return undefined
        const found = await resolve(path, { importer, kind, resolveDir, pluginData: 'resolved' })
        return { ...found, sideEffects: false }
      },
    )
  },
}

/** Of every package that a byte of the bundle comes from, by name. */
async function licensesOf({ outputs }: Metafile): Promise<string> {
  const used = Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0),
  )
  const names = used.flatMap(([path]) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [])
  const texts = [...new Set(names)].sort().map(async name => {
    const folder = join(root, 'node_modules', name)
    const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Package
    const text = await readFile(join(folder, 'LICENSE'), 'utf8').catch(() =>
      readFile(join(folder, 'LICENSE.md'), 'utf8'),
    )
    return `${name} ${version} (${license})\n\n${text.replaceAll('\r\n', '\n').trim()}\n`
  })
  const rule = `\n${'-'.repeat(72)}\n\n`
  return `What is in this folder is of Mayfly (Apache-2.0), and holds parts of these packages:\n${rule}${(await Promise.all(texts)).join(rule)}`
}

type Package = { version: string; license: string }

const BEGIN = '  # Every permission that GitHub knows; written by `npm run build:action`.\n'
const END = '  # The end of them.\n'

/** `action.yml` with one input for each permission, so that the runner knows the name. */
export function withPermissions(manifest: string): string {
  const [before, rest] = [manifest.slice(0, manifest.indexOf(BEGIN)), manifest.slice(manifest.indexOf(END))]
  if (!manifest.includes(BEGIN) || !manifest.includes(END)) throw new Error('action.yml has lost its marks')
  const inputs = Object.entries(GITHUB_PERMISSIONS)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { levels }]) => {
      const text = `\`${name}\` for the GitHub token: ${levels.join(', ')}.`
      return `  permission-${name.replaceAll('_', '-')}:\n    description: '${text}'\n`
    })
  return before + BEGIN + inputs.join('') + rest
}

if (import.meta.main) {
  await mkdir(join(here, 'dist'), { recursive: true })
  for (const [name, text] of Object.entries(await bundle())) await writeFile(join(here, 'dist', name), text)
  const manifest = join(here, 'action.yml')
  await writeFile(manifest, withPermissions(await readFile(manifest, 'utf8')))
}
