package io.spladelucene;

/**
 * One pseudo-document that cannot be indexed. {@code kind} is a key of the table of problems in the Python module
 * {@code pseudo_documents}, which alone words the message and the remedy; {@code detail} is the offending value.
 */
final class BadPseudoDocument extends Exception {
  private static final long serialVersionUID = 1L;

  final String kind;
  final String detail;

  BadPseudoDocument(String kind, String detail) {
    super(kind + ": " + detail, null, false, false); // no stack trace: these are data, and there may be many
    this.kind = kind;
    this.detail = detail;
  }
}
