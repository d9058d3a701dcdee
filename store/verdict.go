package store

// Origin says where an error comes from.
type Origin uint8

const (
	// OwnSQL is SQL of Maestro: the statements that read and write the log.
	OwnSQL Origin = iota
	// UserSQL is a projection's SQL, whether queued or run by a handler.
	UserSQL
	// UserCode is a projection's Go code.
	UserCode
	// Connection is the way to Postgres: the network, a pooler, a server that ends a session.
	Connection
)

func (o Origin) String() string {
	return [...]string{"own SQL", "a projection's SQL", "a projection's code", "the connection"}[o]
}

// Condition is the state of the connection that an error came over.
type Condition uint8

const (
	// Alive means that the connection answers.
	Alive Condition = iota
	// Lost means that the connection has ended or could not be made.
	Lost
	// Expired means that the connection was cut because the time for the call had ended.
	Expired
)

// Verdict is what an error leads to.
type Verdict uint8

const (
	// Wait is for a fault of the moment. The same call is tried again a little later.
	Wait Verdict = iota
	// Evict is Wait with another connection, because something is wrong with this one. The store
	// closes it.
	Evict
	// Repair is for a fault in the surroundings of a projection, such as a missing table. A person
	// has to repair it. Until then, commands wait, and the log and metrics say so. If the projection
	// works for other commands meanwhile, the one command is at fault.
	Repair
	// Slow is for a projection that took longer than it may. Fewer commands are tried at a time.
	Slow
	// Halve is for a batch with a command that cannot be stored, when Postgres does not say which
	// one. Fewer commands are tried at a time, until one is left. That one is refused.
	Halve
	// Refuse is for the command whose projection failed.
	Refuse
	// Stop is for an owner that has been replaced.
	Stop
)

func (v Verdict) String() string {
	return [...]string{"wait", "evict", "repair", "slow", "halve", "refuse", "stop"}[v]
}

// Passes tells whether the same call may succeed later.
func (v Verdict) Passes() bool { return v <= Slow }

// judge is the table that maps an error's origin, SQLSTATE ("" for none) and connection to a
// verdict. The text of an error decides nothing.
func judge(from Origin, state string, is Condition) Verdict {
	user := from == UserSQL || from == UserCode
	switch {
	case is == Expired && user:
		return Slow
	case is != Alive || from == Connection:
		return Wait
	case from == UserCode:
		return Refuse
	}
	table := ownStates
	if from == UserSQL {
		table = userStates
	}
	if v, known := table[state]; known {
		return v
	}
	if len(state) > 2 {
		if v, known := table[state[:2]]; known {
			return v
		}
	}
	return table["*"]
}

// ownStates are the verdicts on Maestro's own SQL, by SQLSTATE or its class. They refuse a command
// only if Postgres does not take its data, because every other fault affects all commands. Source
// of the codes: PostgreSQL's documentation, appendix A.
var ownStates = map[string]Verdict{
	"":   Halve, // the error is not from a server: the statement could not be sent
	"*":  Wait,  // any other code
	"00": Evict, // successful completion, as an error
	"01": Evict, // a warning, as an error
	"02": Evict, // no data, as an error
	"03": Evict, // SQL statement not yet complete
	"08": Evict, // connection exception: poolers use it for any error
	"09": Halve, // triggered action exception: a trigger that somebody has put on our table refuses
	"0A": Evict, // feature not supported: "cached plan must not change result type" after a migration
	"0B": Evict, // invalid transaction initiation
	"0F": Halve, // locator exception
	"0L": Wait,  // invalid grantor
	"0P": Wait,  // invalid role specification
	"0Z": Halve, // diagnostics exception, in a trigger's function
	"20": Halve, // case not found, in a trigger's function
	"21": Halve, // cardinality violation, in a trigger's function
	"22": Halve, // data exception
	"23": Halve, // integrity constraint violation: a constraint that somebody has added
	"24": Evict, // invalid cursor state
	"25": Evict, // invalid transaction state, which includes a server that takes no writes (25006)
	"26": Evict, // invalid SQL statement name: the session has forgotten its prepared statements
	"27": Halve, // triggered data change violation
	"28": Wait,  // invalid authorization specification
	"2B": Wait,  // dependent privilege descriptors still exist
	"2D": Evict, // invalid transaction termination
	"2F": Halve, // SQL routine exception
	"34": Evict, // invalid cursor name: the session has forgotten a portal
	"38": Halve, // external routine exception
	"39": Halve, // external routine invocation exception
	"3B": Evict, // savepoint exception
	"3D": Wait,  // invalid catalog name
	"3F": Wait,  // invalid schema name
	"40": Wait,  // transaction rollback: deadlock, serialization failure
	"42": Wait,  // syntax error or access rule violation: a missing table or privilege
	"44": Halve, // with check option violation
	"53": Wait,  // insufficient resources
	"54": Halve, // program limit exceeded: a value that is too large
	"55": Wait,  // object not in prerequisite state: a lock, an object in use
	"57": Wait,  // operator intervention
	"58": Wait,  // system error
	"72": Evict, // snapshot failure
	"F0": Wait,  // configuration file error
	"HV": Halve, // foreign data wrapper error, in a trigger's function
	"ME": Wait,  // Maestro's own: the log is elsewhere (ME002)
	"P0": Halve, // PL/pgSQL error: a trigger raises
	"XX": Wait,  // internal error

	codeFenced: Stop,
	"42501":    Evict, // insufficient privilege: SQL of a projection may have left the session with another role
	"57014":    Evict, // query canceled: SQL of a projection may have left a time-out
	"42P05":    Evict, // duplicate prepared statement: a pooler has given us another's session
}

// userStates are the verdicts on a projection's SQL, over a connection that is alive. This SQL
// runs after the fence has written in the same transaction, so the cause cannot be a server that
// takes no writes. If the server ends the session, the connection is not alive, whatever the last
// code.
var userStates = map[string]Verdict{
	"":   Refuse, // the error is not from a server: the statement could not be sent
	"*":  Refuse, // any other code
	"00": Refuse,
	"01": Refuse,
	"02": Refuse,
	"03": Refuse,
	"08": Repair, // connection exception: another server, behind dblink or a foreign table
	"09": Refuse,
	"0A": Repair, // feature not supported: "cached plan must not change result type" after a table was altered
	"0B": Refuse,
	"0F": Refuse,
	"0L": Repair, // invalid grantor
	"0P": Repair, // invalid role specification
	"0Z": Refuse,
	"20": Refuse,
	"21": Refuse,
	"22": Refuse,
	"23": Refuse, // integrity constraint violation: a rule, see [Violated]
	"24": Refuse,
	"25": Refuse, // invalid transaction state: an error was ignored (25P02)
	"26": Evict,  // invalid SQL statement name: the session has forgotten its prepared statements
	"27": Refuse,
	"28": Repair, // invalid authorization specification
	"2B": Repair, // dependent privilege descriptors still exist
	"2D": Refuse,
	"2F": Refuse,
	"34": Refuse,
	"38": Refuse,
	"39": Refuse,
	"3B": Refuse,
	"3D": Repair, // invalid catalog name
	"3F": Repair, // invalid schema name
	"40": Wait,   // transaction rollback: deadlock, serialization failure
	"42": Refuse, // syntax error or access rule violation
	"44": Refuse,
	"53": Repair, // insufficient resources: a full disk, or a statement that wants too much memory
	"54": Refuse,
	"55": Repair, // object not in prerequisite state
	"57": Repair, // operator intervention
	"58": Repair, // system error: a file of an extension is missing
	"72": Wait,   // snapshot failure
	"F0": Repair, // configuration file error
	"HV": Repair, // foreign data wrapper error
	"ME": Refuse, // not Maestro's: a function raises it
	"P0": Refuse, // PL/pgSQL error: a function raises
	"XX": Refuse, // internal error: functions of extensions raise it for bad data

	"42501": Repair, // insufficient privilege
	"42703": Repair, // undefined column
	"42704": Repair, // undefined object
	"42883": Repair, // undefined function
	"42P01": Repair, // undefined table
	"42P10": Repair, // invalid column reference: no unique index for "on conflict"
	"42P05": Evict,  // duplicate prepared statement: an earlier transaction of the session has left one
	"55006": Wait,   // object in use
	"55P03": Wait,   // lock not available
	"57014": Slow,   // query canceled, by a time-out or by a person
	"XX001": Repair, // data corrupted
	"XX002": Repair, // index corrupted
}
