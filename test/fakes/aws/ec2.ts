/** Amazon EC2: DescribeRegions, whose dry run is a free question "may I?". */
import { judge } from './authorize.ts'
import { AwsError } from './aws-error.ts'
import type { QueryParameters } from './query.ts'
import type { Principal, World } from './world.ts'
import type { Xml } from './xml.ts'

const REGIONS = ['eu-central-1', 'eu-west-1', 'us-east-1', 'us-west-2']

/** The content of `<{Action}Response>`. @throws AwsError */
export function ec2(world: World, caller: Principal, action: string, parameters: QueryParameters): Xml {
  if (action !== 'DescribeRegions') {
    throw new AwsError(400, 'InvalidAction', `The action ${action} is not valid for this web service.`)
  }
  if (!judge(world, caller, { action: 'ec2:DescribeRegions', resource: '*' }).allowed) {
    throw new AwsError(403, 'UnauthorizedOperation', 'You are not authorized to perform this operation.')
  }
  if (parameters.get('DryRun') === 'true') {
    const message = 'Request would have succeeded, but DryRun flag is set.'
    throw new AwsError(412, 'DryRunOperation', message)
  }
  return {
    regionInfo: {
      item: REGIONS.map(region => ({
        regionName: region,
        regionEndpoint: `ec2.${region}.amazonaws.com`,
        optInStatus: 'opt-in-not-required',
      })),
    },
  }
}
