package portal

// Whose is for tests.
var Whose = whose
