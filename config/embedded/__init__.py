"""A PostgreSQL of our own, as a Django database engine: ENGINE = "config.embedded".

    base.py        the engine: PostgreSQL's, which sees to it that the server is up
    server.py      what a process does to use the server, and to stop using it
    supervisor.py  one process per data folder: starts, restarts and stops PostgreSQL
    postgres.py    PostgreSQL's programs: where they are, as whom and how they run
    home.py        the folder that all of it lives in, and its locks

Two locks, both dropped by the kernel whatever becomes of their holders, are the whole protocol:

    users.lock       shared by every process that uses the server; taken exclusively by a
                     supervisor that found no user left and is stopping
    supervisor.lock  held by the supervisor; whoever gets it starts one and hands it over
"""
