import { realJob } from './edge.ts'
import { start } from './start.ts'

await start(realJob(process.env))
