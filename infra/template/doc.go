// Package template holds the tests of the repository's templates: what they come
// to after the transformation that CloudFormation does, and what SAM, cfn-lint
// and checkov say of them. The tools are installed from requirements.txt and
// checkov.txt into the user's cache; without Python the tests are skipped,
// except in CI.
package template
