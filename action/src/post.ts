import { realJob } from './edge.ts'
import { finish } from './finish.ts'

await finish(realJob(process.env))
