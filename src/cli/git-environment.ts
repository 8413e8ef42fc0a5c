/**
 * What makes git ask `mayfly git-credential` and nobody else for a provider's repositories, as configuration in
 * the environment (git-config(1), GIT_CONFIG_COUNT): it counts after every file, and ends with the process.
 */
import { isLoopback } from '../sidecar/git-repository.ts'
import type { Terminal } from './terminal.ts'

/** @param providers hosts of the web pages of GitHub, or of GitHub Enterprise servers */
export function gitEnvironment(
  { env, self }: Pick<Terminal, 'env' | 'self'>,
  providers: readonly string[],
): Record<string, string> {
  const { GIT_CONFIG_COUNT = '' } = env
  const before = /^\d{1,4}$/.test(GIT_CONFIG_COUNT) ? Number(GIT_CONFIG_COUNT) : 0
  const helper = `!${[...self, 'git-credential'].map(quoted).join(' ')}`
  const settings = [...new Set(providers)].flatMap(provider => {
    const scope = scopeOf(provider)
    return [
      // The empty one takes away what came before: a keychain would keep what is to be short-lived.
      [`${scope}.helper`, ''],
      [`${scope}.helper`, helper],
      [`${scope}.useHttpPath`, 'true'],
    ] as const
  })
  return {
    GIT_CONFIG_COUNT: String(before + settings.length),
    ...Object.fromEntries(
      settings.flatMap(([name, value], index) => [
        [`GIT_CONFIG_KEY_${before + index}`, name],
        [`GIT_CONFIG_VALUE_${before + index}`, value],
      ]),
    ),
  }
}

/** A provider on this machine is a stand-in at some port, which a scope would have to name: there it is for all. */
function scopeOf(provider: string): string {
  return isLoopback(provider) ? 'credential' : `credential.https://${provider}`
}

/** For the shell that git starts a helper with. */
function quoted(word: string): string {
  return /^[\w./:-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
