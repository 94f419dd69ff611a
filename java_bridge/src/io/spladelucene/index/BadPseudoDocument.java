package io.spladelucene.index;

/**
 * A pseudo-document that cannot be indexed.
 *
 * <p>{@code kind} is a key of the table of problems on the Python side, which has the messages and
 * the remedies. {@code detail} is the value that is wrong.
 */
final class BadPseudoDocument extends Exception {
  private static final long serialVersionUID = 1L;

  final String kind;
  final String detail;

  BadPseudoDocument(String kind, String detail) {
    // Without a stack trace: the input is wrong, not the program, and there may be many of these.
    super(kind + ": " + detail, null, false, false);
    this.kind = kind;
    this.detail = detail;
  }
}
