package snapshot

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Limits of an expression: a plan's author must not be able to keep the
// controller busy.
const (
	maxExpression      = 4096    // characters
	maxExpressionDepth = 64      // parts within parts
	maxExpressionCost  = 200_000 // of an evaluation, in cel-go's units: about 100 ms
	// What cel-go's units do not see, such as reading regular expressions, is
	// bounded by time.
	maxExpressionTime = time.Second
)

// ExpressionError says what is wrong with a ReleasePlan's expression.
type ExpressionError struct {
	Plan    string
	Problem string
}

func (e *ExpressionError) Error() string {
	return fmt.Sprintf("annotation %s of ReleasePlan %q: %s", AutoReleaseKey, e.Plan, e.Problem)
}

// Hint says what an expression may use.
func (e *ExpressionError) Hint() string {
	return "it is a CEL expression that is true or false, with snapshot, now, updatedComponentIs(\"name\") and shouldRelease(); to always release, delete the annotation"
}

// AllowsRelease evaluates the CEL expression of a ReleasePlan about a Snapshot.
// now is what the expression knows by that name. With an error it allows
// nothing.
func AllowsRelease(expression string, s *v1alpha1.Snapshot, now time.Time) (bool, error) {
	env, err := expressionEnv(s)
	if err != nil {
		return false, fmt.Errorf("preparing CEL: %w", err)
	}
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		var problems []string
		for _, e := range issues.Errors() {
			problems = append(problems, fmt.Sprintf("line %d, column %d: %s", e.Location.Line(), e.Location.Column()+1, e.Message))
		}
		return false, fmt.Errorf("it cannot be read: %s", strings.Join(problems, "; "))
	}
	if kind := ast.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return false, fmt.Errorf("it yields a value of type %s: it must be true or false", kind)
	}
	program, err := env.Program(ast, cel.CostLimit(maxExpressionCost), cel.InterruptCheckFrequency(1))
	if err != nil {
		return false, fmt.Errorf("it cannot be prepared: %w", err)
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s)
	if err != nil {
		return false, fmt.Errorf("converting Snapshot %q: %w", s.Name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxExpressionTime)
	defer cancel()
	value, _, err := program.ContextEval(ctx, map[string]any{"snapshot": object, "now": now.UTC()})
	switch {
	case ctx.Err() != nil:
		return false, fmt.Errorf("its evaluation takes longer than %v", maxExpressionTime)
	case err != nil:
		return false, fmt.Errorf("it cannot be evaluated: %w", err)
	}
	allowed, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("it yields a value of type %s: it must be true or false", value.Type().TypeName())
	}
	return allowed, nil
}

// expressionEnv has the variables and functions that upstream documents.
func expressionEnv(s *v1alpha1.Snapshot) (*cel.Env, error) {
	return cel.NewEnv(
		cel.DefaultUTCTimeZone(true), cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(maxExpressionDepth),
		cel.Variable("snapshot", cel.DynType),
		cel.Variable("now", cel.TimestampType),
		cel.Function("updatedComponentIs", cel.Overload("updatedComponentIs_string", []*cel.Type{cel.StringType}, cel.BoolType,
			cel.UnaryBinding(func(name ref.Val) ref.Val {
				text, ok := name.Value().(string)
				return types.Bool(ok && text != "" && text == s.Labels[ComponentLabel])
			}))),
		cel.Function("shouldRelease", cel.Overload("shouldRelease", nil, cel.BoolType,
			cel.FunctionBinding(func(...ref.Val) ref.Val { return types.Bool(wanted(s)) }))),
	)
}

// wanted reports whether the build left it open to release what it made.
func wanted(s *v1alpha1.Snapshot) bool {
	return s.Annotations[resultPrefix+"should-release"] != "false"
}
