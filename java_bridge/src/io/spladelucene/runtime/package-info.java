/**
 * What concerns the JVM, Lucene and Anserini as a whole: versions, memory, logging, and Anserini's
 * readers of topics. Python calls {@link io.spladelucene.runtime.RuntimeFacade}. This package uses
 * {@code wire}.
 */
package io.spladelucene.runtime;
