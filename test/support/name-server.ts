import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type Answer, decode, encode, type Question, RECURSION_AVAILABLE } from "dns-packet";

/** What a name server says of a question: records, that there are none, that there is no such name, or nothing at all. */
export type Zone = (question: Question) => readonly Answer[] | "no such name" | "silence";

/** A real name server on a free UDP port of the loopback interface. */
export interface NameServer {
  /** As `Resolver.setServers` takes it. */
  readonly address: string;
  /** Everything that was asked, in order: "A web.example". */
  readonly questions: string[];
  zone: Zone;
  stop(): Promise<void>;
}

const noSuchName = 3;

export async function startNameServer(zone: Zone): Promise<NameServer> {
  const socket = createSocket("udp4");
  const questions: string[] = [];
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const server: NameServer = {
    address: `127.0.0.1:${socket.address().port}`,
    questions,
    zone,
    async stop() {
      socket.close();
      await once(socket, "close");
    },
  };
  socket.on("message", (bytes, { address, port }) => {
    const query = decode(bytes);
    const [question] = query.questions ?? [];
    if (!question) return;
    questions.push(`${question.type} ${question.name}`);
    const said = server.zone(question);
    if (said === "silence") return;
    const answers = said === "no such name" ? [] : [...said];
    const rcode = said === "no such name" ? noSuchName : 0;
    const flags = RECURSION_AVAILABLE | rcode;
    socket.send(
      encode({ type: "response", id: query.id ?? 0, flags, questions: query.questions ?? [], answers }),
      port,
      address,
    );
  });
  return server;
}

/** Addresses by name; what is not in it does not exist, and `silent` decides on whom nothing is said of. */
export function zoneOf(addresses: Record<string, string>, silent: (name: string) => boolean = () => false): Zone {
  return ({ name, type }) => {
    if (silent(name)) return "silence";
    const data = addresses[name.toLowerCase()];
    if (data === undefined) return "no such name";
    return (type === "AAAA") === data.includes(":") ? [{ type: type as "A", name, ttl: 60, data }] : [];
  };
}
