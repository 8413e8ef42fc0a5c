/** Schema step 18: the key that a task's token is bound to. Released: never changed. */

export function boundKeys(): readonly string[] {
  return ['alter table tasks add column bound_key text']
}
