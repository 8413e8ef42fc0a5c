/** What the post step is left by the step itself. */
export const TASK_STATE = {
  id: 'task',
  token: 'token',
  url: 'url',
  lifetime: 'lifetime',
  /** Set where the task has ended already. */
  over: 'over',
} as const
