/** As every answer has it: RFC 3339, in UTC; null stays null. @param ms epoch ms */
export function time(ms: number): string
export function time(ms: number | null): string | null
export function time(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
