// prehog's service with connect-node: parses each event as its message and acknowledges it, without a store. As many
// processes as there are processors share the listener. Prints the address once all of them accept connections.

import cluster from "node:cluster";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";

if (cluster.isPrimary) {
  let listening = 0;
  const processes = availableParallelism();
  cluster.on("listening", (_worker, { address, port }) => {
    listening += 1;
    if (listening === processes) {
      console.log(`${address}:${port}`);
    }
  });
  for (let index = 0; index < processes; index++) {
    cluster.fork();
  }
} else {
  const { connectNodeAdapter } = await import("@connectrpc/connect-node");
  const { TbotReportingService } = await import("./node_modules/.generated/prehog/v1alpha/tbot_pb.js");
  const service = { submitTbotEvent: () => ({}) };
  const routes = (router) => router.service(TbotReportingService, service);
  createServer(connectNodeAdapter({ routes })).listen(0, "127.0.0.1");
}
