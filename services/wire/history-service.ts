/** What history serves to executors. Its messages are the generated ones: an RPC's serialisation is its transport's. */
export { HistoryService } from "../../gen/carillon/v1/events_pb.ts";
