package v1alpha1

// SchemaLevel is the newest level of this API that this build knows. Streamers report it, and the operator
// hands no pod a field of a higher one.
//
// It rises by one with the first field, enumeration value or form of a value that a release adds to what streamers
// read and that an image of the release before would refuse; all that one release adds shares its level. A field that
// goes, a wider bound or another default does not raise it.
const SchemaLevel = 1
