/**
 * `node demo/read-object.ts artifacts/build.txt`: an ordinary program with Amazon's SDK, which prints an object of
 * S3. It has never heard of Mayfly: where, as whom and in which region is for the SDK to find out, as everywhere.
 */
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'

const [, Bucket, Key] = /^([^/]+)\/(.+)$/.exec(process.argv[2] ?? '') ?? []
if (Bucket === undefined || Key === undefined) throw new Error('expected BUCKET/KEY')
const s3 = new S3Client({ forcePathStyle: true, maxAttempts: 1 })
const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }))
process.stdout.write(`${await Body?.transformToString()}\n`)
