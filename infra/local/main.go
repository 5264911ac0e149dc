// Command local is Gatehouse on one machine: the whole system ([make run]), the
// walk-through ([make demo]), what can be said of a configuration without
// deploying it ([make check]), of the providers in it ([make doctor]), and of a
// token ([make explain]).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"gatehouse/shared/config"
)

// commands is the command line.
type commands struct {
	Run     runCommand     `cmd:"" help:"Serve the whole system on this machine until interrupted."`
	Demo    demoCommand    `cmd:"" help:"Walk through it: an open API, the policy, a token, a refused scope."`
	Check   checkCommand   `cmd:"" help:"Read a configuration and say what it means."`
	Doctor  doctorCommand  `cmd:"" help:"Ask the identity providers for all that is needed of them, and say what to do about what is missing."`
	Explain explainCommand `cmd:"" help:"Read a token from standard input and say, step by step, what the authorizer decides about it. The token is never printed."`
	Schema  schemaCommand  `cmd:"" help:"Print the JSON Schema of gatehouse.yaml."`
	Events  eventsCommand  `cmd:"" help:"Write the events of events/ anew, with tokens of a new key."`
	Postman postmanCommand `cmd:"" help:"Write the collection and the environment that Postman imports, from the OpenAPI documents."`
}

// stage is where a command runs: its streams and its environment.
type stage struct {
	in  io.Reader
	out io.Writer
	err io.Writer
	env func(string) (string, bool)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], stage{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv}))
}

// execute runs one command line and returns the exit status: 0, 1 when the
// command failed, 2 when the line is wrong.
func execute(ctx context.Context, args []string, s stage) int {
	var c commands
	code, exited := 0, false
	parser, err := kong.New(&c,
		kong.Name("gatehouse"),
		kong.Description("Gatehouse on one machine. Needs Go and nothing else."),
		kong.Writers(s.out, s.err),
		kong.Exit(func(n int) { code, exited = n, true }),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	)
	if err != nil {
		fmt.Fprintln(s.err, "gatehouse:", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	line, err := parser.Parse(args)
	switch {
	case exited: // --help
		return code
	case err != nil:
		fmt.Fprintf(s.err, "gatehouse: %v\nTry --help.\n", err)
		return 2
	}
	if err := line.Run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(s.err, message(err))
		return 1
	}
	return 0
}

// message is what a command that failed says. The problems of a configuration
// begin with file, line and column, for editors to find.
func message(err error) string {
	if problems, ok := errors.AsType[*config.Problems](err); ok {
		return problems.Error()
	}
	return "gatehouse: " + err.Error()
}
