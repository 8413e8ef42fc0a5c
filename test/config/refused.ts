import { expect } from 'vitest'
import { ConfigError, type Problem } from '../../src/config.ts'

/** The problems a refused configuration names. */
export async function problemsOf(loading: Promise<unknown>): Promise<readonly Problem[]> {
  const error = await loading.then(
    () => expect.unreachable('the configuration was accepted'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ConfigError)) throw error
  return error.problems
}

/** `line:column key`, to compare with. */
export const places = (problems: readonly Problem[]) =>
  problems.map(({ line, column, key }) => `${line}:${column} ${key}`)
