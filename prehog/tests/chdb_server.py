"""Serves chdb, a current ClickHouse engine in a library, over the part of ClickHouse's HTTP interface that prehog uses.

    python3 chdb_server.py DIRECTORY

Listens on a free port of 127.0.0.1 and writes it to DIRECTORY/port. Responds to a statement in the body, or to an insert in
the parameter `query` with rows in the body. All other parameters are settings of the statement, except `database` and
`wait_end_of_query`.

The engine is also the only member of the cluster `local`. Tables that pass statements on to a cluster work as on a server.
The engine has no replicas and no queue for statements `ON CLUSTER`, so such statements are run without these words.
"""

import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import connect

CONFIG = """<clickhouse>
    <tcp_port>9000</tcp_port><!-- Not opened: only for recognising the only member of the cluster as this engine. -->
    <remote_servers><local><shard><replica>
        <host>127.0.0.1</host><port>9000</port>
    </replica></shard></local></remote_servers>
</clickhouse>
"""
# Each table as its only replica.
REPLICAS = "(SELECT database, name AS table, 0 AS is_readonly, 1 AS active_replicas FROM system.tables)"

directory = sys.argv[1]
with open(f"{directory}/config.xml", "w") as file:
    file.write(CONFIG)
engine = connect(f"{directory}/data?config-file={directory}/config.xml")
# A connection runs one statement at a time, and remembers the database and the settings of the last one.
lock = threading.Lock()
settings = {}


def without_replicas(statement):
    statement = statement.replace(" ON CLUSTER `local`", "").replace("cluster('local', system, replicas)", REPLICAS)
    return re.sub(r"ReplicatedReplacingMergeTree\([^)]*\)", "ReplacingMergeTree()", statement)


def run(parameters, body):
    global settings
    with lock:
        engine.query(f"USE {parameters.pop('database', 'default')}")
        insert = parameters.pop("query", "")
        parameters.pop("wait_end_of_query", None)
        if parameters != settings:
            for name in settings:
                engine.query(f"SET {name} = DEFAULT")
            for name, value in parameters.items():
                engine.query(f"SET {name} = '{value}'")
            settings = parameters
        statement = f"{insert}\n{body}" if insert else without_replicas(body)
        return engine.query(statement, "TabSeparated").bytes()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        parameters = dict(parse_qsl(urlsplit(self.path).query))
        try:
            status, result = 200, run(parameters, body)
        except Exception as error:  # the type depends on the version of chdb
            status, result = 500, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(result)))
        self.end_headers()
        self.wfile.write(result)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(f"{directory}/new-port", "w") as file:
    file.write(str(server.server_port))
os.rename(f"{directory}/new-port", f"{directory}/port")
server.serve_forever()
