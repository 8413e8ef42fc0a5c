/** Of accounts and repositories: GitHub keeps their letters as they were written, and does not tell them apart by case. */
export function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
