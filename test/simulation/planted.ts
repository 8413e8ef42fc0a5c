/** Bugs that the simulation must find. */
import type { Mutation } from './mutation.ts'

export const planted: readonly Mutation[] = []
