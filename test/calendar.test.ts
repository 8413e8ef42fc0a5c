import cron from 'node-cron'
import { expect, test } from 'vitest'
import { createCalendar } from '../src/calendar.ts'
import { silent } from './fakes/installation.ts'

test('the daily work is on the calendar until it is taken back, and a failing day is logged, not thrown', async () => {
  const logged: string[] = []
  const everyDay = createCalendar({ ...silent, error: (_, message) => logged.push(message) })
  let runs = 0
  const takeBack = everyDay(async () => {
    runs += 1
    if (runs === 2) throw new Error('the disk is full')
  })
  const tasks = [...cron.getTasks().values()]
  expect(tasks).toHaveLength(1)
  const next = tasks[0]!.getNextRun()!
  expect([next.getHours(), next.getMinutes()]).toEqual([3, 17])
  await tasks[0]!.execute()
  await tasks[0]!.execute()
  expect(runs).toBe(2)
  expect(logged).toEqual(['the daily work stopped short; it runs again tomorrow'])
  takeBack()
  await expect.poll(() => cron.getTasks().size).toBe(0)
})
