import type { ApprovalWish } from '../broker/approvals/ask-approval.ts'

/** What humans are to be told, where they are asked. */
export function wishOf({
  justification,
  mints,
}: {
  justification?: string | undefined
  mints?: number | undefined
}): { wish?: ApprovalWish } {
  if (justification === undefined && mints === undefined) return {}
  return {
    wish: {
      ...(justification === undefined ? {} : { justification }),
      ...(mints === undefined ? {} : { mints }),
    },
  }
}
