/** The checks of where functions run. */
import type { SubnetSelection } from "aws-cdk-lib/aws-ec2";
import { checkOptions } from "../../shared/function/check-options.ts";
import { checkList, checkMade, refuse, refusedByCdk } from "./check-values.ts";
import type { NetworkOptions } from "./tidemark-function.ts";

/** The compiler refuses a list that lacks one of CDK's, or has one too many. */
const SELECTION = {
  availabilityZones: true,
  onePerAz: true,
  subnetFilters: true,
  subnetGroupName: true,
  subnetType: true,
  subnets: true,
} satisfies Record<keyof SubnetSelection, true>;

/**
 * @param within the prop that holds them, with its dot
 * @param vpcOfApp where the functions run that have no network of their own
 */
export function checkNetwork(
  within: string,
  given: { readonly [prop in keyof NetworkOptions]?: unknown },
  vpcOfApp?: unknown,
): void {
  const { vpc, vpcSubnets, securityGroups } = given;
  checkMade(
    `${within}vpc`,
    vpc,
    "selectSubnets",
    "a network of aws-cdk-lib/aws-ec2. Give Vpc.fromLookup(…) or the like",
  );
  const network = (vpc ?? vpcOfApp) as NetworkOptions["vpc"];
  for (const [name, set] of Object.entries({ vpcSubnets, securityGroups })) {
    if (set === undefined || network !== undefined) continue;
    refuse(`${within}${name}`, "set", "it is of a network, and there is none. Set vpc as well, or leave it out");
  }
  if (vpcSubnets !== undefined) {
    checkOptions(`${within}vpcSubnets`, vpcSubnets, Object.keys(SELECTION));
    try {
      network?.selectSubnets(vpcSubnets as SubnetSelection);
    } catch (thrown) {
      throw refusedByCdk(`${within}vpcSubnets`, thrown);
    }
  }
  const groups = "security groups of aws-cdk-lib/aws-ec2. Give [SecurityGroup.fromSecurityGroupId(…)] or the like";
  checkList(`${within}securityGroups`, securityGroups, "securityGroupId", groups);
}
