/** As every answer has it: RFC 3339, in UTC; null stays null. @param ms epoch ms */
export const time = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
