package marketstream

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// failure is an answer of the API server that does not get better by asking again soon.
type failure struct{ reason, says string }

// namespaceGoes is the reason of what is refused because the namespace is being deleted.
const namespaceGoes = "NamespaceTerminating"

// lasting returns the failure that an error is, or none if asking again may help.
func lasting(what string, err error) failure {
	switch {
	case err == nil:
		return failure{}
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return failure{namespaceGoes, "the namespace is being deleted: nothing can be made in it"}
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return failure{"QuotaExceeded", what + ": " + err.Error()}
	case apierrors.IsForbidden(err):
		return failure{"Forbidden", what + ": " + err.Error()}
	case apierrors.IsInvalid(err):
		return failure{"Invalid", what + ": " + err.Error()}
	}
	return failure{}
}
