/** `budgets:` in mayfly.yaml: what owners and lineages may use up, beside each agent's own limits. */
import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { lineShape, wholeNumber } from './shapes.ts'

/** Of an agent's limits, those that need not be set. */
export const optionalLimits = {
  credentials_per_day: wholeNumber(1, LIMITS.credentialsPerDay, 'credentials').optional(),
  write_minutes_per_day: wholeNumber(0, LIMITS.writeMinutesPerDay, 'minutes').optional(),
}

const limitsShape = z.strictObject({
  active_tasks: wholeNumber(1, LIMITS.activeTasksPerBudget, 'tasks').optional(),
  credentials_per_hour: wholeNumber(1, LIMITS.credentialsPerDay, 'credentials').optional(),
  ...optionalLimits,
  child_depth: wholeNumber(0, LIMITS.lineageDepth, 'levels').optional(),
  children: wholeNumber(0, LIMITS.childrenPerTask, 'children').optional(),
})

export const budgetsShape = z
  .strictObject({
    owners: z
      .strictObject({
        default: limitsShape.prefault({}),
        teams: z
          .record(lineShape(LIMITS.labelChars), limitsShape)
          .refine(
            teams => Object.keys(teams).length <= LIMITS.registryFiles,
            `expected at most ${LIMITS.registryFiles} owners`,
          )
          .prefault({}),
      })
      .prefault({}),
    lineages: limitsShape.prefault({}),
  })
  .prefault({})
